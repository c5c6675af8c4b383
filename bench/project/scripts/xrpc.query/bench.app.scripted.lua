function handle()
  return db.query({ collection = collection, limit = params.limit })
end
