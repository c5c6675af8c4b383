-- Runs before a status is stored. Returning nothing leaves it out, a table replaces it.
function handle()
  if action == "delete" then
    return true
  end
  if type(record.status) ~= "string" or record.status == "" then
    return nil
  end
  record.indexedBy = "scripts/record.index/xyz.statusphere.status.lua"
  return record
end
