// mqtt.js with MQTT 5: properties there and back.
const mqtt = require('mqtt')
const url = `mqtt://${process.env.MQTT_HOST}:${process.env.MQTT_PORT}`

async function main() {
  const server = await mqtt.connectAsync(url, { protocolVersion: 5, clientId: 'server' })
  const asker = await mqtt.connectAsync(url, { protocolVersion: 5, clientId: 'asker' })
  server.on('message', (topic, payload, packet) => {
    server.publish(packet.properties.responseTopic, payload.toString().toUpperCase(), {
      qos: 1, properties: { correlationData: packet.properties.correlationData }
    })
  })
  asker.on('message', async (topic, payload, packet) => {
    console.log(topic, payload.toString(), packet.properties.correlationData.toString())
    await server.endAsync()
    await asker.endAsync()
  })
  await server.subscribeAsync('shout', { qos: 1 })
  await asker.subscribeAsync('answers', { qos: 1 })
  await asker.publishAsync('shout', 'hello', {
    qos: 1, properties: { responseTopic: 'answers', correlationData: Buffer.from('7') }
  })
}

main()
