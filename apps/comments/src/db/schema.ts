import type { Generated } from 'kysely'

export const PLAN_NAMES = ['FREE', 'STARTER', 'BUSINESS', 'ENTERPRISE'] as const
export type PlanName = (typeof PLAN_NAMES)[number]

/** Every table carries the tenant, and every primary key begins with it. */
export interface Schema {
  tenants: {
    id: string
    name: string
    plan: PlanName
    created_at: Generated<Date>
  }
  api_keys: {
    /** SHA-256 of the key: the table gives away no key that works. */
    key_hash: Buffer
    tenant_id: string
    label: Generated<string>
    created_at: Generated<Date>
  }
  entities: {
    tenant_id: string
    id: string
    title: string
    created_at: Generated<Date>
  }
  users: {
    tenant_id: string
    id: string
    name: string
  }
  comments: {
    tenant_id: string
    id: string
    entity_id: string
    parent_id: string | null
    author_id: string
    content: string
    likes: Generated<number>
    version: Generated<number>
    created_at: Generated<Date>
    edited_at: Date | null
    deleted_at: Date | null
  }
  likes: {
    tenant_id: string
    comment_id: string
    user_id: string
    created_at: Generated<Date>
  }
  entity_views: {
    tenant_id: string
    id: string
    entity_id: string
    /** Text, since it may be larger than what the driver takes for a number. */
    views: Generated<string>
  }
  reactions: {
    tenant_id: string
    id: string
    thread: string
    comment_id: string
    user_id: string
    kind: string
  }
}
