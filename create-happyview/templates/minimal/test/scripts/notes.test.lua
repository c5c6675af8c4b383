-- Run by `happyview test`, each test on an empty index: `ingest` goes through the record script, `query` through XRPC.
test("a note is trimmed before it is stored", function()
  expect(ingest({ collection = "com.example.note", record = { text = "  hello  " } }).text, "hello")
end)

test("a note without text is left out", function()
  expect(ingest({ collection = "com.example.note", record = { text = "   " } }), nil)
end)

test("notes are listed", function()
  ingest({ collection = "com.example.note", record = { text = "one" } })
  expect(query("com.example.listNotes").notes[1].text, "one")
end)
