import { existsSync, readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type Finding, proseOf } from './blocks.js'

/** The links of a Markdown file that lead to nothing: missing files, and headings that are not there. */
export function brokenLinks(file: string, text: string): Finding[] {
  return proseOf(text)
    .split('\n')
    .flatMap((line, i) =>
      [...line.matchAll(/\]\(([^()\s]+(?:\([^()]*\))?[^()\s]*)(?:\s+"[^"]*")?\)/g)].flatMap(
        ([, target = '']) => {
          const message = problemOf(file, target)
          return message === undefined ? [] : [{ file, line: i + 1, message }]
        },
      ),
    )
}

function problemOf(file: string, target: string): string | undefined {
  if (/^[a-z][a-z+.-]*:/i.test(target)) return undefined
  const [path = '', heading] = target.split('#')
  const found = path === '' ? file : resolve(dirname(file), decodeURIComponent(path))
  if (!existsSync(found)) return `${target} leads nowhere`
  if (heading === undefined || !found.endsWith('.md')) return undefined
  return anchorsOf(readFileSync(found, 'utf8')).has(heading)
    ? undefined
    : `${target}: there is no such heading`
}

/** The anchors that GitHub gives to the headings of a text. */
export function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>()
  const headings = text.replace(/^(`{3,}|~{3,})[\s\S]*?^\1/gm, '').matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)
  for (const [, heading = ''] of headings) {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const anchor = plain
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-')
    let unique = anchor
    for (let n = 1; anchors.has(unique); n++) unique = `${anchor}-${n}`
    anchors.add(unique)
  }
  return anchors
}
