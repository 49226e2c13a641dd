-- Snakemake port: per-sample align -> sort -> index -> call -> merge.
-- handout-lua run bio.lua --allow exec=bwa,samtools,bcftools   (again: only what changed; --resume after a crash)
local handout = require "handout"
local g   = handout.graph { name = "variants", retries = 1, limits = { tmp_disk = 4 } }
local ref = handout.param("ref", "ref/genome.fa", "reference FASTA, indexed")
local min = handout.param("min_quality", 20, "drop calls below this")


local samples = {}
for _, path in ipairs(handout.glob "reads/*.fastq.gz") do
  samples[path:match "([^/]+)%.fastq%.gz$"] = path
end

local bams = g:map("align", {
  over = samples, cpu = 8, memory = "8GiB", timeout = "6h", resources = { tmp_disk = 1 },
  grant  = { exec = { "bwa", "samtools" } },
  reads  = function(i) return { i[1], ref } end,
  writes = function(i) return { "out/" .. i[2] .. ".bam" } end,
}, function(fastq, sample)
  local bam = "out/" .. sample .. ".bam"
  handout.exec { { "bwa", "mem", "-t", "8", "-R", "@RG\\tID:" .. sample, ref, fastq },
                 { "samtools", "sort", "-@", "4", "-o", bam, "-" } }
  return bam
end)

local bais = g:map("index", {
  over = bams, cpu = 1, near = bams,                                   -- element by element, no barrier
  grant  = { exec = { "samtools" } },
  reads  = function(i) return { i[1] } end,
  writes = function(i) return { i[1] .. ".bai" } end,
}, function(bam) handout.exec { "samtools", "index", bam }; return bam .. ".bai" end)

local calls = g:map("call", {
  over = bams, needs = { bais:at() }, cpu = 2, memory = "4GiB",
  grant  = { exec = { "bcftools" } },
  reads  = function(i) return { i[1], i[3], ref } end,
  writes = function(i) return { "calls/" .. i[2] .. ".bcf" } end,
}, function(bam, sample, _)
  local out = "calls/" .. sample .. ".bcf"
  handout.exec { { "bcftools", "mpileup", "-f", ref, bam }, { "bcftools", "call", "-mv", "-Ob", "-o", out } }
  return out
end)

g:task("merge", {
  needs = { calls }, grant = { exec = { "bcftools" } },
  reads  = function(i) local t = {}; for _, p in handout.sorted(i[1]) do t[#t + 1] = p end; return t end,
  writes = { "all.vcf" },
}, function(by_sample)
  local argv = { "bcftools", "merge", "-i", "QUAL>" .. min, "-o", "all.vcf" }
  for _, path in handout.sorted(by_sample) do argv[#argv + 1] = path end
  handout.exec(argv)
  return { file = "all.vcf", samples = #argv - 6 }
end)
return g
