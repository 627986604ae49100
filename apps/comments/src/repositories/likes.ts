import { sql } from 'kysely'
import type { Database } from '../db/index.js'

/** A comment as its likes see it. */
export interface Liked {
  readonly entityId: string
  readonly likes: number
  /** Whether this user likes it. */
  readonly liked: boolean
}

/** What a change of a like did. */
export interface LikeChange extends Liked {
  /** `false` if everything was so before. */
  readonly changed: boolean
}

export class LikeRepository {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  /** `undefined` if there is no such comment, or it is deleted. */
  async find(tenant: string, commentId: string, userId: string): Promise<Liked | undefined> {
    const row = await this.#db.kysely
      .selectFrom('comments')
      .leftJoin('likes', (join) =>
        join
          .onRef('likes.tenant_id', '=', 'comments.tenant_id')
          .onRef('likes.comment_id', '=', 'comments.id')
          .on('likes.user_id', '=', userId),
      )
      .select(['comments.entity_id', 'comments.likes', 'likes.user_id'])
      .where('comments.tenant_id', '=', tenant)
      .where('comments.id', '=', commentId)
      .where('comments.deleted_at', 'is', null)
      .executeTakeFirst()
    return row && { entityId: row.entity_id, likes: row.likes, liked: row.user_id !== null }
  }

  /**
   * The like and the count in one statement, so that neither is ever there without the other. The primary key
   * decides who was first, whatever locks were held or lost.
   */
  async add(tenant: string, commentId: string, userId: string): Promise<LikeChange | undefined> {
    const { rows } = await sql<{ entity_id: string; likes: number }>`
      with added as (
        insert into likes (tenant_id, comment_id, user_id)
        select tenant_id, id, ${userId} from comments
        where tenant_id = ${tenant} and id = ${commentId} and deleted_at is null
        on conflict do nothing
        returning tenant_id, comment_id
      )
      update comments set likes = likes + 1 from added
      where comments.tenant_id = added.tenant_id and comments.id = added.comment_id
      returning comments.entity_id, comments.likes
    `.execute(this.#db.kysely)
    return this.#outcome(tenant, commentId, userId, rows[0], true)
  }

  async remove(tenant: string, commentId: string, userId: string): Promise<LikeChange | undefined> {
    const { rows } = await sql<{ entity_id: string; likes: number }>`
      with removed as (
        delete from likes using comments
        where likes.tenant_id = ${tenant} and likes.comment_id = ${commentId} and likes.user_id = ${userId}
          and comments.tenant_id = likes.tenant_id and comments.id = likes.comment_id
          and comments.deleted_at is null
        returning likes.tenant_id, likes.comment_id
      )
      update comments set likes = likes - 1 from removed
      where comments.tenant_id = removed.tenant_id and comments.id = removed.comment_id
      returning comments.entity_id, comments.likes
    `.execute(this.#db.kysely)
    return this.#outcome(tenant, commentId, userId, rows[0], false)
  }

  async #outcome(
    tenant: string,
    commentId: string,
    userId: string,
    row: { readonly entity_id: string; readonly likes: number } | undefined,
    liked: boolean,
  ): Promise<LikeChange | undefined> {
    if (row !== undefined) return { entityId: row.entity_id, likes: row.likes, liked, changed: true }
    const now = await this.find(tenant, commentId, userId)
    return now && { ...now, changed: false }
  }
}
