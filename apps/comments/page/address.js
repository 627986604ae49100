/**
 * What the address says behind its `#`.
 *
 * @param {string} tenant
 * @param {string} entity
 */
export const addressOf = (tenant, entity) => `#${encodeURIComponent(tenant)}/${encodeURIComponent(entity)}`

/** The tenant and the thread that the address names, as far as it does. */
export function placeInAddress() {
  const [tenant, wanted] = location.hash.slice(1).split('/')
  /** @param {string | undefined} text */
  const decoded = (text) => {
    try {
      return text ? decodeURIComponent(text) : undefined
    } catch {
      return undefined
    }
  }
  return { tenant: decoded(tenant), entity: decoded(wanted) }
}
