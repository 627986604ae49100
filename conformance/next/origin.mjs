/** What the pages show: a number that grows with every time it is asked for, from the suite's own server. */
export const fromOrigin = async (what, init = { cache: 'no-store' }) => {
  const response = await fetch(`${process.env.SLOTWISE_ORIGIN}/${what}`, init)
  return await response.text()
}
