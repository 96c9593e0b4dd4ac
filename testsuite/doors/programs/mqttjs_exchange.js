// mqtt.js over any door: subscribes, publishes to itself at every QoS and something large, says "done". One argument,
// JSON: url, ca, certificate, key, tls ("1.2"), headers, user, client_id, version, topic, bytes.
'use strict'
const fs = require('fs')
const mqtt = require('mqtt')

const wanted = JSON.parse(process.argv[2])
const read = (name) => wanted[name] && fs.readFileSync(wanted[name])
const version = wanted.tls && `TLSv${wanted.tls}`
const client = mqtt.connect(wanted.url, {
  clientId: wanted.client_id,
  protocolVersion: wanted.version,
  protocolId: wanted.version === 3 ? 'MQIsdp' : 'MQTT',
  username: wanted.user,
  reconnectPeriod: 0,
  ca: read('ca'),
  cert: read('certificate'),
  key: read('key'),
  minVersion: version,
  maxVersion: version,
  wsOptions: { headers: wanted.headers }
})
const payloads = ['zero', 'one', 'two'].map((text) => Buffer.from(text))
payloads.push(Buffer.alloc(wanted.bytes, 'large'))
const received = []

client.on('error', (error) => { console.log(`refused: ${error}`); process.exit(2) })
client.on('close', () => { if (!client.disconnecting) { console.log('refused: closed'); process.exit(2) } })
client.on('message', (_, payload) => {
  received.push(payload)
  if (received.length < payloads.length) return
  const same = received.every((one, index) => one.equals(payloads[index]))
  console.log(same ? 'done' : `other payloads: ${received.map((one) => one.length)}`)
  setImmediate(() => client.end())
})
client.on('connect', async () => {
  await client.subscribeAsync(wanted.topic, { qos: 2 })
  for (const [index, payload] of payloads.entries()) {
    await client.publishAsync(wanted.topic, payload, { qos: Math.min(index, 2) })
  }
})
