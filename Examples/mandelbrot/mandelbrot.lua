-- The Mandelbrot set in tiles, put together to one PPM picture: mandelbrot.ppm in the run directory.
local handout = require "handout"

local g     = handout.graph "mandelbrot"
local size  = handout.param("size", 240, "width and height in pixels")
local tiles = handout.param("tiles", 8, "rows of tiles; size must be a multiple")

local rows = {}
for i = 1, tiles do rows[i] = (i - 1) * (size // tiles) end

local tile = g:map("tile", { over = rows }, function(top)
  local pixels = {}
  for py = top, top + size // tiles - 1 do
    for px = 0, size - 1 do
      local cx, cy = -2.1 + 2.8 * px / size, -1.4 + 2.8 * py / size
      local x, y, n = 0.0, 0.0, 0
      while n < 60 and x * x + y * y <= 4 do x, y, n = x * x - y * y + cx, 2 * x * y + cy, n + 1 end
      pixels[#pixels + 1] = n == 60 and "\0\0\0" or string.char(n * 4, n * 3, 255 - n * 4)
    end
  end
  return table.concat(pixels)
end)

local path = "mandelbrot.ppm"
g:task("picture", { needs = tile, grant = { write = { path } } }, function(parts)
  local header = ("P6\n%d %d\n255\n"):format(size, size)
  handout.fs.write(path, header .. table.concat(parts))
  return { file = path, bytes = #header + 3 * size * size }
end)
return g
