-- A session gateway in nginx, as a team would write it: the token's record from Redis over kept connections, the identity
-- in a header. Less than Hufu does: nothing is sealed, hashed, renewed or checked for ambiguity.
local redis = require "@CLIENT@"

local token = (ngx.var.http_authorization or ""):match("^Bearer (.+)$")
if not token then return ngx.exit(401) end

local connection = redis:new()
connection:set_timeout(1000)
if not connection:connect("127.0.0.1", @REDIS@) then return ngx.exit(503) end
local record, failure = connection:get("gateway:" .. token)
if failure then return ngx.exit(503) end
connection:set_keepalive(60000, 128)
if not record or record == ngx.null then return ngx.exit(401) end

local openid, appid = record:match("^(.-)|(.*)$")
ngx.req.set_header("X-WX-OPENID", openid)
ngx.req.set_header("X-WX-APPID", appid)
ngx.req.clear_header("Authorization")
