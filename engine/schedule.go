package engine

import "time"

// demand is what one running request could put into the next batch.
type demand struct {
	pending   int  // rows it has ready, at least 1
	answering bool // its prompt is in the cache; the rows are of its answer
}

// schedule says how many rows of each demand go into a batch of about budget rows and never above most.
// Those that answer come first, so that a long prompt never stalls an answer; prompts share what is left,
// oldest first. What fits goes in whole, because the same rows in two batches give other last bits than in
// one. What does not fit waits to be first in a batch, where it may take most rows, and nothing overtakes it.
func schedule(dst []int, demands []demand, budget, most int) []int {
	dst = append(dst[:0], make([]int, len(demands))...)
	used := 0
	for _, answering := range [...]bool{true, false} {
		for i, d := range demands {
			switch {
			case d.answering != answering:
			case used == 0:
				dst[i] = min(d.pending, most)
				used = dst[i]
			case used+d.pending <= budget:
				dst[i] = d.pending
				used += d.pending
			default:
				return dst
			}
		}
	}
	return dst
}

// share says how many waiting requests a lane takes when it has room for more: its part of the queue, so
// that idle lanes work in parallel, and at least one.
func share(waiting, lanes, room int) int {
	return min(room, max(1, (waiting+lanes-1)/lanes))
}

// pace learns what a row costs on this host and turns the step's time into a number of rows.
type pace struct {
	step time.Duration
	most int
	row  float64 // seconds, 0 before the first observation
}

// budget is the number of rows that fit the step, from 1 to the most that a batch can have.
func (p *pace) budget() int {
	if p.row == 0 {
		return p.most
	}
	return max(1, int(min(float64(p.most), p.step.Seconds()/p.row)))
}

// observe learns from one decode. A small batch says little about a row's cost, because every decode has a
// fixed cost too, so it weighs less.
func (p *pace) observe(rows int, took time.Duration) {
	cost := took.Seconds() / float64(rows)
	if p.row == 0 {
		p.row = cost
		return
	}
	weight := 0.2 * float64(rows) / float64(p.most)
	p.row += weight * (cost - p.row)
}
