# SPDX-License-Identifier: BSD-2-Clause
#
# What: the picture of the verdicts: one bar per case, ratio divided by target; left of 1 is met.
# Called with the variables bars (the data of bench_report --bars) and picture (the SVG to write).

count = system(sprintf("wc -l < '%s'", bars)) + 0
set terminal svg size 900, (90 + 22 * count) font "sans-serif,12" background rgb "white" noenhanced
set output picture
set title "ratio / target (1 = the promise, smaller is better)"
set style fill solid 0.9 border lt -1
set boxwidth 0.7
set xrange [0:*]
set yrange [count - 0.5:-0.5]
set ytics nomirror
set xtics nomirror
set grid xtics
set border 3
set key off
set lmargin 34
set rmargin 8
set arrow from 1, graph 0 to 1, graph 1 nohead lw 2 lc rgb "#444444" front
plot bars using (0.5 * $2):0:(0.5 * $2):(0.35):($3 > 0 ? 0x4c9a5b : 0xc0503c):ytic(1) \
       with boxxyerror lc rgb variable, \
     bars using 2:0:(sprintf(" %.2f", $2)) with labels left font ",10"
