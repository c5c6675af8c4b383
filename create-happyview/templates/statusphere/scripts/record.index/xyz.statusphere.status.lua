-- Runs before a status is stored. A returned table is stored in its place; nil leaves the status out.
function handle()
  if action == "delete" then
    return true
  end
  if type(record.status) ~= "string" or record.status == "" then
    return nil
  end
  -- Anybody may write more into their record than the lexicon says; we serve what it says.
  return { ["$type"] = collection, status = record.status, createdAt = record.createdAt }
end
