-- Any new value has the source polled at once; status.lastHandledReconcileAt acknowledges it.
local os = require("os")

obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["modelarts.huaweicloud.com/requestedAt"] = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
