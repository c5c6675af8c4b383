-- Runs before a note is stored. A returned table is stored in its place; nil leaves the note out.
function handle()
  if action == "delete" then
    return true
  end
  if type(record.text) ~= "string" then
    return nil
  end
  record.text = record.text:match("^%s*(.-)%s*$")
  if record.text == "" then
    return nil
  end
  return record
end
