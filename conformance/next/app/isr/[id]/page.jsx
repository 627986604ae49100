import { fromOrigin } from '../../../origin.mjs'

export const revalidate = 3600
export const generateStaticParams = () => []

/** A page that is rendered when it is first asked for, of two fetches: one that is cached by itself, and one that is not. */
export default async function Page({ params }) {
  const { id } = await params
  const fetched = await fromOrigin(`fetch-${id}`, { next: { tags: [`fetch-${id}`], revalidate: 3600 } })
  const shown = await fromOrigin(`isr-${id}`, { cache: 'force-cache', next: { tags: [`isr-${id}`] } })
  return <p>{`[${fetched} ${shown}]`}</p>
}
