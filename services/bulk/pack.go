package bulk

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/llama-mapper/llama-mapper/services/access"
)

// packer compresses and seals what chunks hold. Its methods may be called from any goroutine.
type packer struct {
	out *zstd.Encoder
	in  *zstd.Decoder
}

func newPacker() (*packer, error) {
	out, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(workers), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	in, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(workers))
	return &packer{out, in}, err
}

// place is what a sealed text is bound to, so that it opens nowhere else.
func place(kind, job string, number int) []byte {
	return fmt.Appendf(nil, "%s %s %d\n", kind, job, number)
}

// seal packs text for one place.
func (p *packer) seal(v access.Vault, at, text []byte) ([]byte, error) {
	return v.Seal(p.out.EncodeAll(text, bytes.Clone(at)))
}

// open unpacks what seal has made for the same place.
func (p *packer) open(v access.Vault, at, sealed []byte) ([]byte, error) {
	plain, err := v.Open(sealed)
	if err != nil {
		return nil, err
	}
	packed, ok := bytes.CutPrefix(plain, at)
	if !ok {
		return nil, errors.New("a chunk is not where it was put")
	}
	return p.in.DecodeAll(packed, nil)
}
