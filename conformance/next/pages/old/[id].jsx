import { fromOrigin } from '../../origin.mjs'

export const getStaticPaths = () => ({ paths: [], fallback: 'blocking' })

export async function getStaticProps({ params }) {
  if (params.id === 'gone') return { notFound: true, revalidate: 3600 }
  return { props: { shown: await fromOrigin(`old-${params.id}`) }, revalidate: 3600 }
}

export default function Old({ shown }) {
  return <p>{`[${shown}]`}</p>
}
