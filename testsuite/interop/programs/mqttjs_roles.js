// mqtt.js in the three roles of interop/clients.py.
'use strict'
const mqtt = require('mqtt')

const [role, host, port, version, clientId, ...rest] = process.argv.slice(2)

function open(clean, will) {
  const options = { clientId, clean, protocolVersion: Number(version), reconnectPeriod: 0, will }
  if (version === '3') options.protocolId = 'MQIsdp'
  if (version === '5' && !clean) options.properties = { sessionExpiryInterval: 300 }
  const client = mqtt.connect(`mqtt://${host}:${port}`, options)
  client.on('error', (error) => {
    if (client.disconnecting) return // the broker may close first
    console.log(`refused: ${error}`)
    process.exit(1)
  })
  return client
}

function subscribeRole(clean, count, name, qos) {
  const client = open(clean === '1')
  let left = Number(count)
  client.on('connect', () => {
    client.subscribe(name, { qos: Number(qos) }, (error) => {
      if (error) { console.log(`refused: ${error}`); process.exit(1) }
      console.log('ready')
    })
  })
  client.on('message', (topic, payload, packet) => {
    console.log(`MSG ${topic} ${packet.qos} ${packet.retain ? 1 : 0} ${payload}`)
    left -= 1
    if (left === 0) setTimeout(() => client.end(), 100) // the acknowledgement follows this function
  })
}

async function publishRole(topic, qos, retain, ...payloads) {
  const client = open(true)
  for (const payload of payloads) {
    await client.publishAsync(topic, payload, { qos: Number(qos), retain: retain === '1' })
  }
  await client.endAsync()
}

function willRole(topic, qos, retain, payload) {
  open(true, { topic, payload, qos: Number(qos), retain: retain === '1' }).on('connect', () => console.log('ready'))
}

({ sub: subscribeRole, pub: publishRole, will: willRole })[role](...rest)
