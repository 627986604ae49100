import express, { type NextFunction, type Request, type Response } from 'express'
import { expressLimit } from '../../../src/ratelimit/express/index.js'
import { onSomePort } from '../../support/on-some-port.js'
import { type Serve, serving, servingConnections } from './served.js'

const serve: Serve = async (limits, reached) => {
  const app = express()
  for (const { limiter, settings } of limits) app.use(expressLimit(limiter, settings))
  app.use((request, _, next) => {
    reached(request.path)
    next()
  })
  app.get('/', (_, response) => void response.send('hello'))
  app.get('/broken', (_, response) => void response.status(500).send('broken'))
  app.get('/thrown', () => Promise.reject(new Error('thrown')))
  app.get('/hung', () => {})
  app.use((_: Error, __: Request, response: Response, ___: NextFunction) => void response.sendStatus(500))
  const server = app.listen(0, '127.0.0.1')
  await new Promise((done) => server.once('listening', done))
  return await onSomePort(server)
}

const subject = { serve, header: (request: unknown, name: string) => (request as Request).get(name) }
serving('Express 5', subject)
servingConnections('Express 5', subject)
