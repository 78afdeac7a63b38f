package api

import (
	"encoding/json"
	"time"
)

// TaskState says how far an orchestration in the background is.
type TaskState string

// The states of a task.
const (
	TaskPending   TaskState = "pending"
	TaskRunning   TaskState = "running"
	TaskCompleted TaskState = "completed" // there is a result
	TaskFailed    TaskState = "failed"    // there is an error
	TaskCancelled TaskState = "cancelled"
)

// Task is an orchestration that is done in the background.
type Task struct {
	ID         string          `json:"job_id"`
	State      TaskState       `json:"status"`
	Progress   float64         `json:"progress"` // 0 to 1
	CreatedAt  time.Time       `json:"created_at"`
	StartedAt  *time.Time      `json:"started_at,omitempty"`
	FinishedAt *time.Time      `json:"finished_at,omitempty"`
	ExpiresAt  *time.Time      `json:"expires_at,omitempty"` // of a task that has ended: it and its result are gone then
	ReceiptID  string          `json:"receipt_id,omitempty"`
	Error      *Error          `json:"error,omitempty"`
	Webhook    *TaskWebhook    `json:"webhook,omitempty"`
	Result     json.RawMessage `json:"result,omitempty"`
}

// TaskWebhook says how far the webhook of a task is.
type TaskWebhook struct {
	Attempts    int        `json:"attempts"`
	DeliveredAt *time.Time `json:"delivered_at,omitempty"`
}

// TasksResponse is a tenant's tasks without their results, newest first.
type TasksResponse struct {
	Jobs []Task `json:"jobs"`
}

// TaskEvent is what a webhook is told, as Standard Webhooks has it.
type TaskEvent struct {
	Type      string    `json:"type"`      // orchestration. and the state
	Timestamp time.Time `json:"timestamp"` // of the end
	Data      TaskEnd   `json:"data"`
}

// TaskEnd says how a task has ended, without content.
type TaskEnd struct {
	ID         string    `json:"job_id"`
	State      TaskState `json:"status"`
	FinishedAt time.Time `json:"finished_at"`
	ReceiptID  string    `json:"receipt_id,omitempty"`
	ErrorCode  Code      `json:"error_code,omitempty"`
}

// WebhookSecret is what the webhooks of a tenant are signed with, in the form of Standard Webhooks.
type WebhookSecret struct {
	Secret string `json:"secret"`
}
