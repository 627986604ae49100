import * as caching from 'next/cache'
import { connection } from 'next/server'
import { fromOrigin } from '../../../origin.mjs'

const cacheTag = caching.cacheTag ?? caching.unstable_cacheTag

async function load(id) {
  'use cache: remote'
  cacheTag(`remote-${id}`)
  return await fromOrigin(`remote-${id}`)
}

export default async function Page({ params }) {
  await connection()
  const { id } = await params
  return <p>{`[${await load(id)}]`}</p>
}
