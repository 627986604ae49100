/**
 * Loaded (`--import`) into programs that know nothing of us: when the script that started one is gone, however
 * it went, the whole group goes.
 */
const parent = process.ppid
setInterval(() => {
  if (process.ppid !== parent) process.kill(-process.pid, 'SIGKILL')
}, 200).unref()
