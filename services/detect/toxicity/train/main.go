// Command train makes the toxicity detector's corpora and its model from templates.txt and the lexicon:
//
//	go run ./services/detect/toxicity/train -dir services/detect/toxicity
//
// It writes testdata/train.tsv, testdata/test.tsv and model.bin. The same input gives the same bytes: all chance comes
// from one seed. Of the training lines, a fifth, by template, calibrates the scores; the test lines are never looked at.
package main

import (
	"flag"
	"log"
	"os"
	"path/filepath"

	"github.com/llama-mapper/llama-mapper/services/detect/toxicity"
)

func main() {
	dir := flag.String("dir", "services/detect/toxicity", "the detector's directory")
	flag.Parse()
	if err := run(*dir); err != nil {
		log.Fatal(err)
	}
}

func run(dir string) error {
	train, test, err := corpora(templates)
	if err != nil {
		return err
	}
	for name, lines := range map[string][]line{"train": train, "test": test} {
		if err := os.WriteFile(filepath.Join(dir, "testdata", name+".tsv"), write(lines), 0o644); err != nil {
			return err
		}
	}
	log.Printf("%d lines to train with, %d to test with", len(train), len(test))
	m := fit(examples(train))
	b := m.Bytes()
	log.Printf("model: %d bytes, %d labels", len(b), len(toxicity.Labels))
	return os.WriteFile(filepath.Join(dir, "model.bin"), b, 0o644)
}
