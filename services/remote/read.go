package remote

import (
	"encoding/json"
	"slices"

	"github.com/llama-mapper/llama-mapper/services/wire"
)

// of reads an answer that must be in a vendor's format. detector is a name that says that format.
func of(detector, answer, vendor string) (wire.Output, error) {
	out, err := wire.Parse(detector, answer)
	if err == nil && out.Vendor != vendor {
		err = wire.ErrShape
	}
	if err != nil {
		return wire.Output{}, err
	}
	return out, nil
}

// having reads an answer of Azure's that must have a member, with something in it: without that it is none to what was
// asked.
func having(answer, member string) (wire.Output, error) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal([]byte(answer), &doc); err != nil || slices.Contains([]string{"", "null", "[]", "{}"}, string(doc[member])) {
		return wire.Output{}, wire.ErrShape
	}
	return of("azure", answer, "azure")
}
