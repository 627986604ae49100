import * as caching from 'next/cache'
import { connection } from 'next/server'
import { fromOrigin } from '../../../origin.mjs'

// By the names that Next 15 has for them, else.
const cacheTag = caching.cacheTag ?? caching.unstable_cacheTag
const cacheLife = caching.cacheLife ?? caching.unstable_cacheLife

async function load(id) {
  'use cache'
  cacheTag(`cached-${id}`)
  cacheLife({ stale: 60, revalidate: 3600, expire: 7200 })
  return await fromOrigin(`cached-${id}`)
}

async function short(id) {
  'use cache'
  cacheLife({ stale: 0, revalidate: 1, expire: 600 })
  return await fromOrigin(`short-${id}`)
}

/** Rendered for every request, of what is cached. */
export default async function Page({ params }) {
  await connection()
  const { id } = await params
  async function update() {
    'use server'
    ;(caching.updateTag ?? caching.revalidateTag)(`cached-${id}`)
  }
  return (
    <form action={update}>
      <p>{`[${await load(id)} ${await short(id)}]`}</p>
    </form>
  )
}
