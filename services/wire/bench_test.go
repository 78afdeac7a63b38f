package wire

import "testing"

func BenchmarkParse(b *testing.B) {
	for _, e := range corpus(b) {
		switch output := e.text(b); e.path {
		case "testdata/cases/text-labels.json", "testdata/cases/presidio.json", "testdata/cases/bedrock.json", "testdata/cases/openai-clean.json", "testdata/cases/llama-guard-2-s6.json":
			b.Run(e.Want.Vendor, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Parse(e.Detector, output); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
