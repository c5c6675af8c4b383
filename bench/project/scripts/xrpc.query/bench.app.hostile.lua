local attacks = {
  loop = function()
    while true do
    end
  end,
  pcall = function()
    while true do
      pcall(function()
        while true do
        end
      end)
    end
  end,
  memory = function()
    return ("a"):rep(1e9)
  end,
  pattern = function()
    return string.find(string.rep("a", 60), string.rep("a*", 40) .. "b")
  end,
}

function handle()
  return attacks[params.attack]()
end
