# An unmodified wechatpy that calls through the gateway: ROUNDS of three APIs, and what came of them as one line of JSON.
import json
import sys
import time

from requests.adapters import HTTPAdapter
from wechatpy import WeChatClient

base, appid, secret, openid, rounds = sys.argv[1:6]


class Gateway(HTTPAdapter):
    def send(self, request, **kwargs):
        request.url = request.url.replace("https://api.weixin.qq.com", base, 1)
        return super().send(request, **kwargs)


client = WeChatClient(appid, secret)
client._http.mount("https://api.weixin.qq.com/", Gateway())
calls = [
    lambda: client.message.send_text(openid, "hello"),
    lambda: client.wxa.send_subscribe_message(openid, "t1", {}),
    lambda: client.wxa.check_text_security("hello"),
]
done, failed = 0, []
for _ in range(int(rounds)):
    for call in calls:
        try:
            call()
            done += 1
        except Exception as error:
            failed.append(f"{type(error).__name__} {error}")
    time.sleep(0.05)
print(json.dumps({"done": done, "failed": failed, "token": client.access_token if not failed else ""}))
