"""Learning from the distributions of a teacher: any classifier, saved logits, human votes."""

from sksoft.distillation.knowledge_distiller import KnowledgeDistiller
from sksoft.distillation.teacher_scores import TeacherWarning

__all__ = ["KnowledgeDistiller", "TeacherWarning"]
