local suspended = obj.spec.suspend == true

return {
  refresh = { disabled = suspended, iconClass = "fa fa-fw fa-redo" },
  suspend = { disabled = suspended, iconClass = "fa fa-fw fa-pause-circle" },
  resume = { disabled = not suspended, iconClass = "fa fa-fw fa-play-circle" },
}
