test("a status is stored as the lexicon says", function()
  local stored = ingest({ collection = "xyz.statusphere.status", record = { status = "🐢", createdAt = now(), more = 1 } })
  expect(stored.status, "🐢")
  expect(stored.more, nil)
end)

test("a status without an emoji is left out", function()
  expect(ingest({ collection = "xyz.statusphere.status", record = { status = "" } }), nil)
end)

test("emojis are counted", function()
  for _, emoji in ipairs({ "🐢", "🐇", "🐢" }) do
    ingest({ collection = "xyz.statusphere.status", record = { status = emoji } })
  end
  expect(query("xyz.statusphere.countByEmoji"), { counts = { ["🐢"] = 2, ["🐇"] = 1 } })
  expect(#query("xyz.statusphere.listStatuses", { limit = 2 }).records, 2)
end)

test("a deleted status is gone", function()
  local event = { collection = "xyz.statusphere.status", rkey = "one", record = { status = "🐢" } }
  ingest(event)
  event.action = "delete"
  expect(ingest(event), nil)
end)
