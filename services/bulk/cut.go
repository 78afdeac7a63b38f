package bulk

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/llama-mapper/llama-mapper/api"
)

// chunk is some lines of an upload, in order.
type chunk struct {
	number int
	first  int64 // the first line's number, from 1
	lines  int
	text   []byte // the lines, each with its end
}

// cut reads lines to their end and hands them on in chunks, which are valid until keep returns.
func cut(from io.Reader, keep func(chunk) error) (lines int64, err error) {
	in := bufio.NewReaderSize(from, api.MaxBody+2) // a line with its end
	c, size := chunk{first: 1}, 0
	flush := func() error {
		if c.lines == 0 {
			return nil
		}
		if err := keep(c); err != nil {
			return err
		}
		c = chunk{number: c.number + 1, first: c.first + int64(c.lines), text: c.text[:0]}
		return nil
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return lines, err
		}
		last := errors.Is(err, io.EOF)
		if last && len(line) == 0 {
			break
		}
		text := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		lines++
		size += len(line)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) || len(text) > api.MaxBody:
			return lines, api.Errorf(api.PayloadTooLarge, "line %d is longer than %d bytes; nothing of this job is kept", lines, api.MaxBody)
		case lines > api.MaxJobLines:
			return lines, api.Errorf(api.PayloadTooLarge, "a job has at most %d lines; send the rest as another", api.MaxJobLines)
		case size > api.MaxJobBytes:
			return lines, api.Errorf(api.PayloadTooLarge, "a job has at most %d bytes, decompressed; send the rest as another", api.MaxJobBytes)
		}
		if c.lines == chunkLines || len(c.text)+len(text) >= chunkBytes {
			if err := flush(); err != nil {
				return lines, err
			}
		}
		c.text = append(append(c.text, text...), '\n')
		c.lines++
		if last {
			break
		}
	}
	if lines == 0 {
		return 0, api.Errorf(api.InvalidRequest, "the body is empty; send a JSON object a line, each as for /api/v1/map")
	}
	return lines, flush()
}

// split is the lines of a chunk's text.
func split(text []byte) [][]byte {
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
}
