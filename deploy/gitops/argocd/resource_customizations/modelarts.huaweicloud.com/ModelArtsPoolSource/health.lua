-- The status of a ModelArtsPoolSource is in kstatus format, and this follows kstatus' rules with
-- two words that kstatus lacks: a suspended source is Suspended, and one that is not ready while
-- nothing is in progress is Degraded, because waiting has not helped it.

local metadata, status = obj.metadata, obj.status or {}

if metadata.deletionTimestamp ~= nil then
  local message = "Pending deletion"
  if metadata.finalizers ~= nil and #metadata.finalizers > 0 then
    message = message .. "; blocked by finalizers: " .. table.concat(metadata.finalizers, ", ")
  end
  return { status = "Progressing", message = message }
end

if obj.spec.suspend then
  return { status = "Suspended", message = "polling is suspended" }
end

if status.observedGeneration ~= metadata.generation then
  return { status = "Progressing", message = "waiting for the controller to act on this spec" }
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
  local ready = (status.ready or 0) .. " of " .. (status.pools or 0) .. " pools are ready"
  return { status = "Healthy", message = ready .. "; " .. says["Ready=True"] }
end
if says["Ready=False"] then
  return { status = "Degraded", message = says["Ready=False"] }
end
return { status = "Progressing", message = "waiting for the first poll" }
