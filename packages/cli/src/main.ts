#!/usr/bin/env node
import { run } from './run.js'

process.exitCode = await run(process.argv.slice(2), process)
// Connections that a failure left open, or an input that nobody ends, must not keep us.
setTimeout(() => process.exit(), 300).unref()
