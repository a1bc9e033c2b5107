#!/usr/bin/env node
// Runs the binary of this machine's platform package, and ends as it ends.
const { spawn } = require('node:child_process')

const platform = `${process.platform}-${process.arch}`
let binary
try {
  binary = require.resolve(`@hufu-gateway/${platform}/bin/hufu`)
} catch {
  console.error(
    `hufu: there is no binary for ${platform} here. If npm left out optional packages (--omit=optional), install @hufu-gateway/${platform}; ` +
      'if there is none, build hufu from source or run the image.'
  )
  process.exit(1)
}

const child = spawn(binary, process.argv.slice(2), { stdio: 'inherit' })
// Whoever started this process knows its number, not the gateway's.
const forwarded = ['SIGTERM', 'SIGHUP']
// A terminal sends these to both processes: once more would be the second signal, which ends the gateway at once.
const fromTerminal = ['SIGINT', 'SIGQUIT']
for (const signal of forwarded) process.on(signal, () => child.kill(signal))
for (const signal of fromTerminal) process.on(signal, () => {})

child.on('error', error => {
  console.error(`hufu: ${binary} does not start: ${error.message}`)
  process.exit(1)
})
child.on('exit', (code, signal) => {
  if (!signal) process.exit(code)
  for (const name of [...forwarded, ...fromTerminal]) process.removeAllListeners(name)
  process.kill(process.pid, signal)
})
