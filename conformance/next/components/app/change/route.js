import { revalidatePath, revalidateTag } from 'next/cache'

export async function POST(request) {
  const { searchParams } = new URL(request.url)
  const [tag, path, expire] = ['tag', 'path', 'expire'].map((name) => searchParams.get(name))
  if (path !== null) revalidatePath(path)
  if (tag !== null) revalidateTag(tag, expire === null ? { expire: 0 } : { expire: Number(expire) })
  return Response.json({ revalidated: tag ?? path })
}
