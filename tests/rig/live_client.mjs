// An application on the SDK for JavaScript; see live_client.py. Its second argument is where the packages are.
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const options = JSON.parse(process.argv[2])
const require = createRequire(process.argv[3])
const { Centrifuge } = require('centrifuge')
const WebSocket = require('ws')

const tell = (event, facts = {}) => process.stdout.write(JSON.stringify({ event, ...facts }) + '\n')
const tokens = options.tokens ?? []
const first = tokens.shift()
const client = new Centrifuge(options.url, {
  websocket: WebSocket,
  token: first ?? '',
  getToken:
    first === undefined
      ? null
      : async () => {
          tell('token')
          return tokens.shift()
        },
  minReconnectDelay: 20,
  maxReconnectDelay: 200,
})
const subscriptions = {}

const published = (channel, { offset, data }) => tell('publication', { channel, offset, data })
const subscribed = (channel, { recovered, wasRecovering }) =>
  tell('subscribed', { channel, recovered, was_recovering: wasRecovering })

client.on('connected', ({ client }) => tell('connected', { client }))
client.on('connecting', ({ code, reason }) => tell('connecting', { code, reason }))
client.on('disconnected', ({ code, reason }) => tell('disconnected', { code, reason }))
client.on('publication', (context) => published(context.channel, context))
client.on('subscribed', (context) => subscribed(context.channel, context))

function subscribe(channel) {
  const subscription = client.newSubscription(channel, { minResubscribeDelay: 20, maxResubscribeDelay: 200 })
  subscriptions[channel] = subscription
  subscription.on('subscribed', (context) => subscribed(channel, context))
  subscription.on('unsubscribed', ({ code, reason }) => tell('unsubscribed', { channel, code, reason }))
  subscription.on('publication', (context) => published(channel, context))
  subscription.on('join', ({ info }) => tell('join', { channel, user: info.user, client: info.client }))
  subscription.on('leave', ({ info }) => tell('leave', { channel, user: info.user, client: info.client }))
  subscription.subscribe()
}

const actions = {
  connect: () => client.connect(),
  subscribe: ({ channel }) => subscribe(channel),
  unsubscribe: ({ channel }) => subscriptions[channel].unsubscribe(),
  publish: ({ channel, data }) => subscriptions[channel].publish(data),
  rpc: async ({ method, data }) => ({ data: (await client.rpc(method, data)).data }),
  presence: async ({ channel }) => {
    const { clients } = await subscriptions[channel].presence()
    return { clients: Object.fromEntries(Object.entries(clients).map(([name, info]) => [name, info.user])) }
  },
  presence_stats: async ({ channel }) => {
    const { numClients, numUsers } = await subscriptions[channel].presenceStats()
    return { num_clients: numClients, num_users: numUsers }
  },
  history: async ({ channel, limit, since, reverse }) => {
    const { offset, epoch, publications } = await subscriptions[channel].history({ limit, since, reverse })
    return { offset, epoch, offsets: publications.map((publication) => publication.offset) }
  },
}

const carryOut = async (order) => {
  try {
    tell('answer', { do: order.do, ...((await actions[order.do](order)) ?? {}) })
  } catch (refused) {
    tell('refused', { do: order.do, code: refused.code })
  }
}

tell('started')
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line)
  const carrying = carryOut(order)
  if (!order.beside) await carrying
}
process.exit(0)
