package mapper

import (
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/framework"
	"github.com/llama-mapper/llama-mapper/services/migration"
)

// Knowledge is what ships as data: labels, what detectors' words mean, what labels concern, and what they were called.
type Knowledge struct {
	Taxonomy   *Taxonomy
	Tables     Tables
	Frameworks *framework.Set
	Migration  *migration.Table // to the taxonomy before
}

// LoadKnowledge reads the data inside the program, strictly.
func LoadKnowledge() (k Knowledge, err error) {
	if k.Taxonomy, err = ParseTaxonomy(config.Taxonomy()); err != nil {
		return k, err
	}
	if k.Tables, err = ParseTables(config.Detectors(), k.Taxonomy); err != nil {
		return k, err
	}
	var all, old []string
	for _, l := range k.Taxonomy.Labels {
		all = append(all, l.ID)
		if l.Since != k.Taxonomy.Version {
			old = append(old, l.ID)
		}
	}
	if k.Frameworks, err = framework.Parse(config.Frameworks(), all); err != nil {
		return k, err
	}
	k.Migration, err = migration.Parse(config.Migration(), old, all)
	return k, err
}
