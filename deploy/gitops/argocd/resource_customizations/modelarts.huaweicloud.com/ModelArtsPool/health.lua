-- The status of a ModelArtsPool is in kstatus format, and this follows kstatus' rules with two
-- words that kstatus lacks: a pool that is not ready while nothing is in progress is Degraded, and
-- one of which nothing certain is known any more (its source was not polled for too long, or the
-- cloud uses a new word) is Unknown.

local metadata, status = obj.metadata, obj.status or {}

if metadata.deletionTimestamp ~= nil then
  local message = "Pending deletion"
  if metadata.finalizers ~= nil and #metadata.finalizers > 0 then
    message = message .. "; blocked by finalizers: " .. table.concat(metadata.finalizers, ", ")
  end
  return { status = "Progressing", message = message }
end

if status.observedGeneration ~= metadata.generation then
  return { status = "Progressing", message = "waiting for the controller to fill in the status" }
end

-- The messages of conditions by what they say, such as "Ready=True".
local says = {}
for _, condition in ipairs(status.conditions or {}) do
  says[condition.type .. "=" .. condition.status] = condition.message
end

if says["Reconciling=True"] then
  return { status = "Progressing", message = says["Reconciling=True"] }
end
if says["Stalled=True"] then
  return { status = "Degraded", message = says["Stalled=True"] }
end
if says["Ready=True"] then
  return { status = "Healthy", message = says["CapacityHealthy=False"] or says["Ready=True"] }
end
if says["Ready=False"] then
  return { status = "Degraded", message = says["Ready=False"] }
end
return { status = "Unknown", message = says["Ready=Unknown"] or "the status has no Ready condition" }
