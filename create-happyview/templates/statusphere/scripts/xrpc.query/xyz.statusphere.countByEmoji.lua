-- GET /xrpc/xyz.statusphere.countByEmoji: its return value is the response.
function handle()
  local page = db.query({ collection = collection, limit = params.limit or 100 })
  local counts = {}
  for _, status in ipairs(page.records) do
    counts[status.status] = (counts[status.status] or 0) + 1
  end
  return { counts = counts }
end
