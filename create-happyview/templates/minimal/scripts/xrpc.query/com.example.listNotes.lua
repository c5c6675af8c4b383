-- GET /xrpc/com.example.listNotes: what it returns is the response.
-- `collection` is the targetCollection of happyview.config.ts, `params` the query string.
function handle()
  local page = db.query({
    collection = collection,
    did = params.author,
    limit = params.limit,
    cursor = params.cursor,
  })
  local notes = {}
  for _, note in ipairs(page.records) do
    notes[#notes + 1] = {
      uri = note.uri,
      author = note.uri:match("^at://([^/]+)"),
      text = note.text,
      createdAt = note.createdAt,
    }
  end
  -- toarray: an empty table would be {} in JSON.
  return { notes = toarray(notes), cursor = page.cursor }
end
