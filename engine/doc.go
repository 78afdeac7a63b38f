// Package engine answers multiple-choice questions with a language model: the prompt is a list of tokens,
// the answer is one of a fixed list of token sequences, and its probability is the model's own.
//
// # The loop
//
// Each lane is one goroutine, locked to its OS thread, that owns one decoder context. All lanes take from
// one bounded queue, and what Background marks waits in another. A lane repeats:
//
//	admit     take requests from the queue while rows are free; drop the expired and the cancelled
//	schedule  choose rows for the next batch: those that answer first, then prompts (a pure function)
//	decode    one call of the model: cut finished sequences back to the prefix, compute the rows
//	deliver   read the children's logits at each branch, step down the trie, hand out what is finished
//
// The legal answers form a trie of tokens. Only at a branch does the model have a say, so only there are
// logits read, and only the children's: their softmax is the probability. A run of single children is
// appended to the next batch as if it were prompt. There is no sampling, no grammar and no JSON in the loop.
//
// # Invariants
//
//   - What a lane owns is touched by that lane alone; between callers and lanes there are only channels.
//   - The queues are bounded; a full one is ErrBusy at once. A lane never waits for a caller.
//   - A request past its deadline, or whose caller has gone, is in no batch.
//   - A request of the background is admitted only where no other waits or runs, in all lanes but the first if
//     there are several, and leaves half of a lane's slots free: it delays others by the decode that runs.
//   - The prefix is computed once for each lane. A finished sequence is cut back to the prefix before its
//     number is used again, so no request sees another's tokens.
//   - An answer does not depend on its neighbours. Batch shapes change the last bits of logits; where that
//     could change the answer or its rounded probability, the request is decoded again alone.
//   - Close ends every lane, and every request gets a result.
package engine
