import { DumpError, type DumpFile, type ListName } from './dump.js'
import type { Row } from './rows.js'
import { textOf } from './text.js'

/** A row of a dump as far as the service has a place for it. */
export interface DumpRecord {
  readonly row: number
  readonly kind: 'user' | 'question' | 'answer' | 'comment' | 'vote'
  readonly id: string
  /** What it belongs to: the question of an answer, the post of a comment or a vote. */
  readonly parent: string | null
  readonly author: string | null
  readonly authorName: string | null
  readonly content: string | null
  /** Of a comment its up-votes, of a question its views. */
  readonly score: number
  readonly createdAt: string | null
  readonly editedAt: string | null
}

const POST_KINDS: Readonly<Record<string, 'question' | 'answer'>> = { 1: 'question', 2: 'answer' }
const UP_VOTE = '2'

/**
 * The record of a row; `undefined` for what has no place here: descriptions of tags, votes that are not up-votes.
 *
 * @throws DumpError when something is missing or cannot be what it says
 */
export function recordOf(file: DumpFile, row: Row): DumpRecord | undefined {
  return READERS[file.list](new Attributes(file, row))
}

const READERS: Readonly<Record<ListName, (row: Attributes) => DumpRecord | undefined>> = {
  Users: (row) => ({
    ...row.base('user'),
    authorName: row.optional('DisplayName') ?? `user ${row.id('Id')}`,
  }),
  Posts: (row) => {
    const kind = POST_KINDS[row.id('PostTypeId')]
    if (kind === undefined) return undefined
    const created = { createdAt: row.date('CreationDate'), editedAt: row.optionalDate('LastEditDate') }
    if (kind === 'question') {
      const views = row.optional('ViewCount') === undefined ? 0 : Math.max(0, row.wholeNumber('ViewCount'))
      return { ...row.base(kind), ...created, content: row.text('Title'), score: views }
    }
    return {
      ...row.base(kind),
      ...created,
      ...row.author('OwnerUserId', 'OwnerDisplayName'),
      parent: row.id('ParentId'),
      content: textOf(row.text('Body')),
    }
  },
  Comments: (row) => ({
    ...row.base('comment'),
    ...row.author('UserId', 'UserDisplayName'),
    parent: row.id('PostId'),
    content: row.text('Text'),
    score: Math.max(0, row.wholeNumber('Score')),
    createdAt: row.date('CreationDate'),
  }),
  Votes: (row) => {
    const post = row.id('PostId')
    const kind = row.id('VoteTypeId')
    return kind === UP_VOTE
      ? { ...row.base('vote'), parent: post, createdAt: row.date('CreationDate') }
      : undefined
  },
}

class Attributes {
  readonly #file: DumpFile
  readonly #row: Row

  constructor(file: DumpFile, row: Row) {
    this.#file = file
    this.#row = row
  }

  base(kind: DumpRecord['kind']): DumpRecord {
    return {
      row: this.#row.number,
      kind,
      id: this.id('Id'),
      parent: null,
      author: null,
      authorName: null,
      content: null,
      score: 0,
      createdAt: null,
      editedAt: null,
    }
  }

  optional(name: string): string | undefined {
    const value = this.#row.attributes[name]
    return value === '' ? undefined : value
  }

  text(name: string): string {
    const value = this.optional(name)
    if (value === undefined) throw this.#wrong(`${name} is missing`)
    return value
  }

  id(name: string): string {
    const value = this.text(name)
    if (!/^-?\d{1,15}$/.test(value)) throw this.#wrong(`${name} is no number: ${short(value)}`)
    return String(Number(value))
  }

  wholeNumber(name: string): number {
    const value = Number(this.id(name))
    if (Math.abs(value) > 2 ** 31 - 1) throw this.#wrong(`${name} is too large: ${value}`)
    return value
  }

  /** As the dump has it: to the millisecond, UTC, and without saying so. */
  date(name: string): string {
    const value = this.text(name)
    const date = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?$/.test(value)
      ? new Date(`${value}Z`)
      : undefined
    if (date === undefined || Number.isNaN(date.getTime()))
      throw this.#wrong(`${name} is no date: ${short(value)}`)
    return date.toISOString()
  }

  optionalDate(name: string): string | null {
    return this.optional(name) === undefined ? null : this.date(name)
  }

  /** Somebody whose account is gone is known by name, or not at all. */
  author(idName: string, nameName: string): Pick<DumpRecord, 'author' | 'authorName'> {
    if (this.optional(idName) !== undefined) return { author: this.id(idName), authorName: null }
    const name = this.optional(nameName)
    return name === undefined
      ? { author: 'anonymous', authorName: 'anonymous' }
      : { author: `gone:${name}`, authorName: name }
  }

  #wrong(wrong: string): DumpError {
    return new DumpError(this.#file.name, this.#row.number, wrong)
  }
}

const short = (value: string) => JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
