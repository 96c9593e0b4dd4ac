// aedes as a server: node aedes_server.mjs FOLDER PORT, where FOLDER/node_modules has aedes.
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { pathToFileURL } from 'node:url'

const [folder, port] = process.argv.slice(2)
const place = createRequire(folder + '/').resolve('aedes')
const { Aedes } = await import(pathToFileURL(place))
// The same limits as the others: what the load has under way must fit.
const broker = await Aedes.createBroker({ concurrency: 65535, queueLimit: 65535, maxInflightInbound: 0 })
const server = createServer({ noDelay: true }, broker.handle)
server.listen(Number(port), '127.0.0.1', 4096)
process.on('SIGTERM', () => process.exit(0))
