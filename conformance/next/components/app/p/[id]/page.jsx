import { cacheLife, cacheTag } from 'next/cache'
import { connection } from 'next/server'
import { Suspense } from 'react'
import { fromOrigin } from '../../../../origin.mjs'

export const generateStaticParams = () => [{ id: 'built' }]

/** Part of what is rendered before anybody asks for it. */
async function Shown({ id }) {
  'use cache'
  cacheTag(`shell-${id}`)
  cacheLife({ stale: 300, revalidate: 3600, expire: 7200 })
  return <i>{await fromOrigin(`shell-${id}`)}</i>
}

async function Live({ id }) {
  await connection()
  return <b>{await fromOrigin(`live-${id}`)}</b>
}

export default async function Page({ params }) {
  const { id } = await params
  return (
    <p>
      <Shown id={id} />
      <Suspense fallback={<b>…</b>}>
        <Live id={id} />
      </Suspense>
    </p>
  )
}
