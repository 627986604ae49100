/** The same on Next 15. */
process.env['SLOTWISE_NEXT'] = '15'
await import('./next.suite.js')
