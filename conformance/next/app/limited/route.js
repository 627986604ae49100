import { redirect } from 'next/navigation'

export const dynamic = 'force-dynamic'

async function handler(request) {
  const { searchParams } = request.nextUrl
  if (searchParams.get('how') === 'redirect') redirect('/limited')
  if (searchParams.get('how') === 'throw') throw new Error('thrown')
  return Response.json({ hello: searchParams.get('name') })
}

let limited
export async function GET(request, context) {
  // By Node and not by the bundler, which would look for a build.
  const { limited: limit } = await import(
    /* webpackIgnore: true */ /* turbopackIgnore: true */ `${process.cwd()}/limit.mjs`
  )
  limited ??= limit(handler)
  return limited(request, context)
}
