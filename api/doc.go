// Package api is the contract of the services with their callers: requests, responses and errors. It imports
// nothing of ours. openapi.yaml says the same for machines; a test keeps the two in step.
package api
