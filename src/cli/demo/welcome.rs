//! What the demo prints: where the page is, and the lines to paste.

use super::backend;
use crate::app::Gateway;
use crate::cli::lang::Lang;

pub(super) fn text(lang: Lang, gateway: &Gateway) -> String {
    let (at, admin) = (&gateway.listen, &gateway.admin);
    let platform = backend::url(gateway).unwrap_or_default();
    let (secret, body) = (backend::SECRET, backend::BODY);
    let lines = format!(
        r#"  T=$(curl -s http://{at}/auth/login -H 'Content-Type: application/json' -d "{{\"code\":\"alice-$RANDOM\"}}"); echo "$T"; T=${{T#*'"token":"'}}; T=${{T%%'"'*}}
  curl -s http://{at}/api/hello -H "Authorization: Bearer $T"; echo
  curl -s http://{at}/auth/phone -H "Authorization: Bearer $T" -H 'Content-Type: application/json' -d "{{\"code\":\"phone-$RANDOM\"}}"; echo
  curl -s {platform} -H "Authorization: Bearer {secret}" -d '{body}'; echo
  curl -si http://{at}/auth/logout -X POST -H "Authorization: Bearer $T""#
    );
    match lang {
        Lang::En => format!(
            "hufu demo: gateway, WeChat's stand-in, an echo backend and a store in memory, all in this process.\n\n\
             Open http://{at}/ and press the buttons, or paste these into a shell, one after the other:\n\n\
             {lines}\n\n\
             The first logs in. The second calls the backend: look for x-wx-openid in what it saw. The third gets the phone number\n\
             behind the code of a phone number button. The fourth is a backend that calls WeChat with a secret of its own: the gateway\n\
             adds the access_token. The fifth logs out; the second then answers 401.\n\
             Any code is good once, for a user of its name, so wx.login codes of the WeChat devtools work too.\n\
             Lines for PowerShell: docs/operations.md#windows\n\
             Metrics: http://{admin}/metrics   Ctrl-C ends the demo.\n"
        ),
        Lang::Zh => format!(
            "hufu demo：网关、微信模拟器、一个回显请求的后端、内存里的存储，全在这一个进程里。\n\n\
             打开 http://{at}/ 按页面上的按钮，或者把下面五行依次粘贴到终端里：\n\n\
             {lines}\n\n\
             第一行登录；第二行调用后端（响应里的 x-wx-openid 就是后端看到的用户）；\n\
             第三行用手机号按钮的 code 换手机号；第四行是后端带着自己的密钥调微信接口，access_token 由网关补上；\n\
             第五行退出登录，之后第二行会得到 401。\n\
             code 可以随便填，每个只能用一次，对应与它同名的用户；微信开发者工具里 wx.login 拿到的 code 也能用。\n\
             PowerShell 的写法见 docs/zh-CN/operations.md#windows\n\
             监控指标：http://{admin}/metrics   按 Ctrl-C 结束演示。\n"
        ),
    }
}
