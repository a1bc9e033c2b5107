// An unmodified co-wechat-api that calls through the gateway: ROUNDS of three APIs, and what came of them as one line of JSON.
const [base, appid, secret, openid, rounds] = process.argv.slice(2)
const WechatAPI = require('co-wechat-api')

const api = new WechatAPI(appid, secret)
for (const field of Object.keys(api)) {
  if (/[pP]refix$/.test(field)) api[field] = api[field].replace('https://api.weixin.qq.com', base)
}
const post = path => async () => {
  const { accessToken } = await api.ensureAccessToken()
  const body = { touser: openid, template_id: 't1', content: 'hello', data: {} }
  return api.request(api.prefix + path + '?access_token=' + accessToken, {
    method: 'POST', data: JSON.stringify(body), headers: { 'Content-Type': 'application/json' }
  })
}
const calls = [
  () => api.sendText(openid, 'hello'),
  () => api.sendImage(openid, 'media'),
  post('message/subscribe/send'),
]

async function main () {
  let done = 0
  const failed = []
  for (let round = 0; round < Number(rounds); round++) {
    for (const call of calls) {
      try {
        await call()
        done++
      } catch (error) {
        failed.push(`${error.name} ${error.code} ${error.message}`)
      }
    }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  console.log(JSON.stringify({ done, failed }))
}

main()
